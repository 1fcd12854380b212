#!/bin/busybox sh
# The first and only process of the tests' virtual machine: it makes a host of the wanted kind, runs
# every test binary, says how each ended, and turns the machine off.
#
# What `cargo xtask vm` reads begins with `vm: `.

export PATH=/bin
/bin/busybox mkdir -p /bin /proc /sys /dev /tmp /run /var/tmp /etc
/bin/busybox --install -s /bin

off() {
    sync
    poweroff -f
    sleep 60
}

# The boot loader has left its last line open.
echo

must() {
    "$@" && return
    echo "vm: broken: $*"
    off
}

must mount -t proc proc /proc
must mount -t sysfs sys /sys
must mount -t devtmpfs dev /dev
must mount -t tmpfs tmp /tmp
must mount -t tmpfs run /run
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
mount -t tracefs trace /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
ip link set lo up || ifconfig lo 127.0.0.1 up
echo "root:x:0:0:root:/:/bin/sh" >/etc/passwd
echo "127.0.0.1 localhost" >/etc/hosts
hostname cgscope-vm

# Should nobody be there any more to turn it off.
(sleep 600 && off) &

# A machine that hangs ends with a reason, and soon. Not at once: its CPUs are threads of a host that has
# other work and can itself stand still for a while. A soft lockup is told after twice the threshold.
for setting in hung_task_panic=1 hung_task_timeout_secs=120 watchdog_thresh=45 softlockup_panic=1 panic_on_rcu_stall=1 \
    panic_on_oops=1; do
    file=/proc/sys/kernel/${setting%=*}
    [ -e "$file" ] && echo "${setting#*=}" >"$file"
done

while read -r file options; do
    # shellcheck disable=SC2086
    must insmod "/modules/$file" $options
done </modules/order
[ -d /sys/kernel/config ] && mount -t configfs config /sys/kernel/config

for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/vda ] && break
    sleep 0.3
done
must mount -t ext4 /dev/vda /var/tmp

mode=$(sed 's/.*cgscope.cgroup=\([a-z0-9]*\).*/\1/' /proc/cmdline)
v1_hierarchies() {
    must mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
    # cpu and cpuacct share a hierarchy wherever an init system mounts them.
    controllers=$(sed -n '/^#/d; s/^\([a-z_]*\)\t.*\t1$/\1/p' /proc/cgroups | grep -v '^cpuacct$')
    for controller in $controllers; do
        [ "$controller" = cpu ] && controller=cpu,cpuacct
        mkdir "/sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" 2>/dev/null && continue
        rmdir "/sys/fs/cgroup/$controller"
        echo "vm: note: no cgroup v1 hierarchy of $controller on this kernel"
    done
    # As every init system does.
    hierarchical=/sys/fs/cgroup/memory/memory.use_hierarchy
    [ -e $hierarchical ] && echo 1 >$hierarchical
    [ -e /sys/fs/cgroup/cpuset ] && echo 1 >/sys/fs/cgroup/cpuset/cgroup.clone_children
}
case $mode in
v2)
    must mount -t cgroup2 cgroup2 /sys/fs/cgroup
    ;;
hybrid)
    v1_hierarchies
    must mkdir /sys/fs/cgroup/unified
    must mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
    ;;
v1)
    v1_hierarchies
    ;;
*)
    must test "$mode" = known
    ;;
esac

echo "vm: kernel $(uname -r), clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
grep cgroup /proc/mounts | sed 's/^/vm: mount: /'

export HOME=/ TERM=dumb CGSCOPE_BIN=/tests/cgscope
# A tenth of the work takes as long as all of it elsewhere.
export CGSCOPE_TEST_EMULATED=1 CGSCOPE_TEST_SHORT_LIVED=20 CGSCOPE_TEST_DRIFT_SECONDS=6
failed=0
# try begin|again ARGUMENTS: runs the suite, once.
try() {
    echo "vm: $1 $suite"
    shift
    mkfifo /run/console
    tee /run/said </run/console &
    tee=$!
    "/tests/deps/$suite" "$@" >/run/console 2>&1
    status=$?
    wait $tee
    rm /run/console
    # A line of its own, whatever the last one said.
    echo
    echo "vm: end $suite $status"
}
run() {
    suite=$1
    shift
    try begin "$@"
    [ $status = 0 ] && return
    # Where a CPU is a thread among others, it can stand still in the middle of a measurement. What
    # fails for another reason fails each time.
    again=$(sed -n '/^failures:$/h; /^    [a-z_]*::[a-z_0-9:]*$/H; ${x; s/^failures://; p;}' /run/said)
    # shellcheck disable=SC2086
    [ -n "$again" ] && try again --exact --include-ignored --test-threads=1 --show-output --color=never $again
    [ $status = 0 ] || failed=1
}
. /tests/suites
if [ $failed = 1 ]; then
    # What a kernel says of an OOM kill would bury the rest.
    dmesg | grep -E 'WARNING|BUG|cut here|[Ee]rror|stall|lockup|taint' | tail -n 40 | sed 's/^/vm: log: /'
fi
echo "vm: done"
off
