# Shows the first lines of a kubectl that watches: LINES KUBECTL-ARGS -- COMMANDS
# After each line, but for the names of the columns, the next command is run. A
# watch goes on from the list before it, so none of their changes is missed.
lines=$1
shift
args=()
while [ "$1" != -- ]; do
	args+=("$1")
	shift
done
shift
coproc KUBECTL { exec kubectl "${args[@]}" 2>&1; }
while [ "$lines" -gt 0 ] && IFS= read -r -t 30 line <&"${KUBECTL[0]}"; do
	echo "$line"
	lines=$((lines - 1))
	case $line in NAME*) continue ;; esac
	[ $# -eq 0 ] || bash -c "$1"
	shift
done
kill "$KUBECTL_PID" 2>/dev/null
