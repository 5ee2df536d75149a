# SPDX-License-Identifier: Apache-2.0
# expect.sh CODE COMMAND...: runs the command and passes only when it ends with exactly that exit code.
wanted=$1
shift
"$@"
got=$?
[ "$got" = "$wanted" ] || { echo "expect: exit code $got, expected $wanted: $*" >&2; exit 1; }
