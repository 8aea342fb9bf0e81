#!/bin/busybox sh
# The first process of a virtual machine: runs every test in /tests/$JOB and writes lines about the
# kernel and the tests to the second serial port; vm/report.rs reads them.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs security /sys/kernel/security
exec </dev/null >/dev/ttyS1 2>&1

. /settings
export TCPWATCH_PROGRAM=/bin/tcpwatch TCPWATCH_REQUIRE_ROOT=1 CARGO_MANIFEST_DIR="$PACKAGE"
# The machine is used for nothing else, so no test has to restore it.
export TCPWATCH_MACHINE="$JOB"

# Prints where each user thread waits in the kernel, and how much memory is left.
whereabouts() {
    for process in /proc/[0-9]*; do
        [ -e "$process/exe" ] || continue
        for thread in "$process"/task/*; do
            echo "${thread#/proc/} $(cat "$thread/comm") waits in $(cat "$thread/wchan")"
        done
    done
    grep -E '^Mem(Total|Available)' /proc/meminfo
}

# Seconds on the machine's clock since the given uptime, and for how many of them the processor was busy.
since() {
    echo "$1 $(cat /proc/uptime)" |
        awk '{ printf "%.1f s, work %.1f", $3 - $1, ($3 - $1) - ($4 - $2) }'
}

run() {
    test=$1/$2
    echo "@begin $test"
    begun=$(cat /proc/uptime)
    rm -f /tmp/hung
    "/bin/$1" --exact "$2" --include-ignored --test-threads=1 --nocapture >/tmp/output 2>&1 &
    process=$!
    (
        sleep "$TEST_SECONDS"
        touch /tmp/hung
        { echo "cut after $TEST_SECONDS s" && whereabouts; } >>/tmp/output
        kill -KILL "$process"
    ) &
    watchdog=$!
    if wait "$process"; then how=ok; else how=failed; fi
    kill "$watchdog"
    [ -e /tmp/hung ] && how=hung
    # Its output is shown unless it passed; what it left out or ran again is always shown.
    if [ "$how" = ok ]; then grep -E 'SKIPPED: |RERUN: ' /tmp/output; else tail -c 16000 /tmp/output; fi |
        sed "s|^|@output $test |"
    echo "@end $test $how $(since "$begun")"
}

echo "@kernel $(uname -r)"
for module in $MODULES; do
    insmod "/modules/$module.ko" || echo "@missing $module"
done
ip link set lo up
# The first connect after a boot generates 256 KiB of random numbers (inet_hash_connect): done here, so
# that it delays no test.
nc 127.0.0.1 9 </dev/null >/dev/null 2>&1
case $JOB in
usual-0 | too-old-0)
    tcpwatch check 2>&1 | sed 's|^|@check |'
    for sysctl in $SYSCTLS; do
        if [ -e "/proc/sys/net/ipv4/$sysctl" ]; then answer=ok; else answer="off:"; fi
        echo "@check sysctl $sysctl  $answer"
    done
    ;;
esac
grep -A1 -E ' (tw_|reqsk|__?inet|tcp|_etext)' /proc/kallsyms >/tmp/kallsyms
short=
while read -r target name; do
    # At each start of tcpwatch the kernel would format all its symbols, which takes a third of the
    # instructions of a start. Tests that need the file itself keep it.
    case $target/$name in
    */whole_machine::*)
        [ -z "$short" ] || umount /proc/kallsyms
        short=
        ;;
    *)
        [ -n "$short" ] || mount --bind /tmp/kallsyms /proc/kallsyms
        short=yes
        ;;
    esac
    run "$target" "$name"
done <"/tests/$JOB"
echo "@done"
poweroff -f
