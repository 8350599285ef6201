#!/bin/bash
# The first program of a User-mode Linux whose root folder is the one of this machine: an NFS server, and two mounts of its folder
# with the usual options, as two nodes of a cluster have them. Every file that it changes is in memory, apart from those in $OUT.
#
# Runs $COMMAND with the results in a/ and in b/ at the same time. If $KILL_AT is not 0, the process on a/ is killed with SIGKILL when
# there are so many items. $OUT gets the results, the output of both processes, and the file `ended`.
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
for folder in /run /mnt /var/lib/nfs /dev/shm; do mount -t tmpfs memory $folder; done
mount --bind /usr/lib/uml/modules /lib/modules
ip link set lo up
mkdir -p /mnt/{export,a,b} /var/lib/nfs/{v4recovery,rpc_pipefs}
touch /var/lib/nfs/{etab,rmtab}
modprobe -a nfsd nfsv4
mount -t nfsd nfsd /proc/fs/nfsd
echo 10 | tee /proc/fs/nfsd/nfsv4leasetime > /proc/fs/nfsd/nfsv4gracetime
exportfs -o rw,no_root_squash,fsid=0,insecure,no_subtree_check 127.0.0.1:/mnt/export
rpc.mountd -N 3
rpc.nfsd -N 3 2
cp -r "$RESULTS/." /mnt/export
for node in a b; do mount -t nfs4 -o vers=4.2,nosharecache 127.0.0.1:/ /mnt/$node; done
mount -t nfs4 > "$OUT/mounts"

items() { find /mnt/export/runs/rib-*/items -type f 2> /dev/null | wc -l; }

cd "$PROJECT" || exit
RIBSTUDY_RESULTS=/mnt/a bash -c "exec $COMMAND" > "$OUT/a.log" 2>&1 &
first=$!
RIBSTUDY_RESULTS=/mnt/b bash -c "exec $COMMAND" > "$OUT/b.log" 2>&1 &
second=$!
if [ "$KILL_AT" != 0 ]; then
  while [ "$(items)" -lt "$KILL_AT" ]; do sleep 0.2; done
  kill -KILL $first
fi
wait $first
wait $second && cp -r /mnt/export "$OUT/results" && touch "$OUT/ended"
sync
halt -f -p
