#!/bin/busybox sh
# The first program of the guest, in the initramfs: loads modules, and switches to the disk.
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
for module in $($bb cat /modules/order); do
    $bb insmod "/modules/$module" || echo "guest: $module cannot be loaded"
done
# The disk appears a moment after its driver is loaded, without a notification.
tries=0
while [ ! -b /dev/nvme0n1 ] && [ $tries -lt 300 ]; do
    $bb usleep 100000
    tries=$((tries + 1))
done
$bb mount -t ext4 /dev/nvme0n1 /disk || echo "guest: no disk"
$bb cp /steps /disk/steps
$bb mount --move /dev /disk/dev
exec $bb switch_root /disk /init
