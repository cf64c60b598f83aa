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
# Without random stories: what time it is in the kernel they tell from what a packet leaves, and in a machine this slow many
# ticks pass within a packet.
for test in /tests/*; do
    "$test" --test-threads 1 --show-output --skip plain_memory_and_kernel_agree_on_every_frame 2>&1
    echo "${test##*/} ended with $?"
done
poweroff -f
