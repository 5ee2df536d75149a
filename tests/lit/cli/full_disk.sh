# SPDX-License-Identifier: Apache-2.0
# full_disk.sh PROGRAM IMAGE: every command into a full disk; each must end with 3 and say that it cannot write.
check() {
  message=$("$@" 2>&1 > /dev/full)
  code=$?
  case "$code $message" in
    "3 "*"cannot write"*) ;;
    *) echo "exit code $code, expected 3 and \"cannot write\": $*: $message" >&2; exit 1 ;;
  esac
}
check "$1" --help
check "$1" --version
check "$1" isa stats
check "$1" isa list
check "$1" isa export
check "$1" verdict --all
check "$1" doctor
check "$1" corpus list
check "$1" classify 9d
check "$1" scan "$2"
check "$1" scan --format json "$2"
check "$1" scan --format sarif "$2"
