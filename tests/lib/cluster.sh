# SPDX-License-Identifier: GPL-2.0-or-later
# Clusters for tests written in shell (bash).  Source it, then:
#
#   sx_cluster 1            a running cluster; the admin's alias is @t; the tools are in PATH
#                           SX_TEST_CLUSTER is its directory (free to use: $SX_TEST_CLUSTER/tmp),
#                           SX_NODE1 … the nodes' directories, SX_HOST1 … their host:port
#   fails STATUS TEXT CMD…  the command must fail with that status, and say TEXT
#   ok WHAT                 prints what was proven
#   sx_done                 the last line: the test has passed
#
# A test that ends earlier has failed: logs are printed.  All processes end with the script.

set -euo pipefail
SX_TEST_LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SX_SRCDIR=${SX_SRCDIR:-$(cd "$SX_TEST_LIB/../.." && pwd)}
export SX_BUILDDIR=${SX_BUILDDIR:-$PWD}
sx_verdict=failed

sx_cluster() {
    local line
    coproc SX_CLUSTER_PROC { exec python3 "$SX_TEST_LIB/cluster.py" make "$1"; }
    sx_cluster_pid=$SX_CLUSTER_PROC_PID
    exec {sx_cluster_in}>&"${SX_CLUSTER_PROC[1]}" {sx_cluster_out}<&"${SX_CLUSTER_PROC[0]}"
    trap sx_end EXIT
    SX_READY=0
    while read -r line <&"$sx_cluster_out"; do
        case $line in
        SX_*=* | export\ * | PATH=*) eval "$line" ;;
        *) printf '%s\n' "$line" ;;
        esac
        [ "$SX_READY" = 0 ] || break
    done
    [ "$SX_READY" = 1 ] || { echo "FAIL: no cluster"; exit 1; }
    mkdir -p "$SX_TEST_CLUSTER/tmp"
}

sx_end() {
    local status=$?
    trap - EXIT
    [ "$status" = 0 ] && [ "$sx_verdict" = ok ] || sx_verdict=failed
    printf '%s\n' "$sx_verdict" >&"$sx_cluster_in" || true
    exec {sx_cluster_in}>&-
    # The coprocess's own copy of the pipe's write end must be closed too, or it would wait for ever.
    eval "exec ${SX_CLUSTER_PROC[1]:-$sx_cluster_in}>&-" 2>/dev/null || true
    cat <&"$sx_cluster_out" || true
    wait "$sx_cluster_pid" 2>/dev/null || sx_verdict=failed
    [ "$sx_verdict" = ok ] || { [ "$status" != 0 ] || status=1; }
    exit "$status"
}

sx_done() {
    sx_verdict=ok
}

ok() {
    printf 'ok: %s\n' "$*"
}

fails() {
    local want=$1 text=$2 status=0 said
    shift 2
    said=$("$@" 2>&1) || status=$?
    if [ "$status" != "$want" ]; then
        printf 'FAIL: %s: exit status %s, not %s; it said: %s\n' "$*" "$status" "$want" "$said"
        exit 1
    fi
    case $said in
    *"$text"*) ;;
    *) printf 'FAIL: %s: does not say "%s" but: %s\n' "$*" "$text" "$said"; exit 1 ;;
    esac
}
