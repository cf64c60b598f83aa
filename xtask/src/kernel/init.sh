#!/busybox sh
# The first process of the emulated machine: runs the tests, says how each ended, and switches off.
/busybox mkdir -p /bin /proc /sys /dev /tmp
/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t bpf bpf /sys/fs/bpf
insmod /veth.ko
ip link set lo up
uname -srv
for test in /tests/*; do
    "$test" --test-threads 1 --show-output 2>&1
    echo "${test##*/} ended with $?"
done
poweroff -f
