# SPDX-License-Identifier: Apache-2.0
# truncate.sh IMAGE SCRATCH PROGRAM: scans IMAGE cut at every 97th byte and at each of the first 80; the exit code must be 0
# or 3, and 3 must come with a message.
size=$(stat -c %s "$1")
cut=0
while [ "$cut" -lt "$size" ]; do
  head -c "$cut" "$1" > "$2"
  "$3" scan "$2" > /dev/null 2> "$2.err"
  code=$?
  case $code in
    0) ;;
    3) [ -s "$2.err" ] || { echo "cut at $cut: exit 3 without a message" >&2; exit 1; } ;;
    *) echo "cut at $cut: exit code $code, expected 0 or 3" >&2; cat "$2.err" >&2; exit 1 ;;
  esac
  if [ "$cut" -lt 80 ]; then cut=$((cut + 1)); else cut=$((cut + 97)); fi
done
