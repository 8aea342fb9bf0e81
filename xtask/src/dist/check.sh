# sh check.sh DEBOOTSTRAP ROOT DIST RPMLINT.TOML: checks the files of a release in a Debian system that it makes in ROOT. Runs in a
# mount namespace of its own, whose end unmounts everything. The Debian package is installed, used, upgraded, removed and
# purged; then linters read what is packed.
set -eu
debootstrap=$1 root=$2 dist=$3 rpmlint=$4

step() { echo "check: $*" >&2; }
fail() { echo "check: FAILED: $*" >&2; exit 1; }
in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
packages() { in_root apt-get --quiet=2 --yes --no-install-recommends "$@" >"$root/root/apt.log" 2>&1 || fail "apt-get $*: $(cat "$root/root/apt.log")"; }
# What exists, but for the package manager's own record and for what it keeps of the last version of a file.
files() {
    in_root find / -xdev \( -path /root -o -path /run -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \) -prune \
        -o -path '/etc/*-' -o -print | sort
}
is() { test "$2" = "$3" || fail "$1 is '$2', not '$3'"; }

step "a Debian system"
DEBOOTSTRAP_DIR=$debootstrap/usr/share/debootstrap sh "$debootstrap/usr/sbin/debootstrap" --variant=minbase bookworm "$root" \
    >"$root.log" 2>&1 || fail "debootstrap: $(tail "$root.log")"
# A container's root is moved to where its image is mounted, which takes a mount around it.
mount --bind "$root" "$root"
for dir in proc sys dev; do mount --rbind "/$dir" "$root/$dir"; done
mkdir -p "$root/dist"
mount --bind "$dist" "$root/dist"
deb=$(cd "$dist" && ls tcpwatch_*.deb)
rpm=$(cd "$dist" && ls tcpwatch-*.rpm)

packages install systemd
files >"$root/root/before"

step "install $deb; the first line"
begun=$(date +%s%N)
packages install "/dist/$deb"
in_root tcpwatch --duration 2s --port 9 >"$root/root/log" 2>&1 &
for _ in $(seq 100); do
    in_root bash -c 'exec 3<>/dev/tcp/127.0.0.1/9' 2>/dev/null || true
    if grep -q SYN_SENT "$root/root/log"; then break; fi
    sleep 0.1
done
grep -q SYN_SENT "$root/root/log" || fail "no line: $(cat "$root/root/log")"
step "after $((($(date +%s%N) - begun) / 1000000)) ms: $(grep -m 1 SYN_SENT "$root/root/log")"
wait

is "the user of the service" "$(in_root getent passwd tcpwatch | cut -d: -f1,6,7)" tcpwatch:/:/usr/sbin/nologin
is "/etc/tcpwatch" "$(in_root stat -c '%U:%G %a' /etc/tcpwatch)" "root:tcpwatch 750"
is "the unit" "$(in_root systemctl --root=/ is-enabled tcpwatch.service || true)" disabled
in_root systemd-analyze verify /usr/lib/systemd/system/tcpwatch.service
in_root systemd-analyze security --offline=true --threshold=21 tcpwatch.service | tail -n 1 >&2

step "upgrade; the administrator's configuration stays"
in_root dpkg-deb --raw-extract "/dist/$deb" /root/newer
sed -i 's/^Version: .*/&+newer/' "$root/root/newer/DEBIAN/control"
in_root dpkg-deb --root-owner-group --build /root/newer /root/newer.deb >/dev/null
echo '# of the administrator' >>"$root/etc/tcpwatch/web.yml"
packages install /root/newer.deb
is "the version" "$(in_root dpkg-query -W -f '${Version}' tcpwatch | sed 's/.*+//')" newer
is "the configuration's last line" "$(tail -n 1 "$root/etc/tcpwatch/web.yml")" '# of the administrator'

step "remove, purge; nothing is left"
packages remove tcpwatch
test ! -e "$root/usr/bin/tcpwatch" || fail "the program is still there"
test -e "$root/etc/tcpwatch/web.yml" || fail "the configuration has gone"
packages purge tcpwatch
rm -r "$root/root/newer" "$root/root/newer.deb" "$root/root/log"
files | diff "$root/root/before" - >&2 || fail "the files differ"
is "the user after that" "$(in_root getent passwd tcpwatch || true)" ""

step "the image: a container's connection, seen from another container"
packages install podman crun busybox-static
mount -t cgroup2 none "$root/sys/fs/cgroup"
cgroup=tcpwatch-check-$$
trap 'find "$root/sys/fs/cgroup/$cgroup" -depth -type d -exec rmdir {} + || true' EXIT
in_root sh -euc '
run() {
    podman --root /root/storage --runroot /root/run --storage-driver vfs --cgroup-manager cgroupfs --events-backend none \
        --runtime crun "$@"
}
# The limits are below those of any machine.
container() {
    run run --rm --cgroup-parent "/$cgroup" --no-hosts --network host --privileged --pids-limit 0 \
        --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$@"
}
cgroup=$1
image=$(run load --quiet --input /dist/tcpwatch-*.oci.tar | sed "s/.*: //")
tar --create --directory /usr bin/busybox | run import --quiet - tiny >/dev/null
container --volume /sys/fs/cgroup:/sys/fs/cgroup:ro "$image" --duration 10s --port 9 >/root/log 2>&1 &
for _ in $(seq 100); do if grep -q Ctrl-C /root/log; then break; fi; sleep 0.1; done
container --cidfile /root/id tiny /bin/busybox nc 127.0.0.1 9 2>/dev/null || true
wait
' sh "$cgroup"
id=$(cut -c 1-12 "$root/root/id")
grep SYN_SENT "$root/root/log" | grep -m 1 "$id" >&2 || fail "no line of container $id: $(cat "$root/root/log")"

step "linters"
packages install lintian rpm rpmlint mandoc zsh fish
in_root lintian --allow-root --fail-on error,warning "/dist/$deb"
mkdir "$root/root/tree"
tar --extract --directory "$root/root/tree" --strip-components 1 --file "$dist"/tcpwatch-*.tar.gz
cp "$rpmlint" "$root/root/rpmlint.toml"
in_root rpmlint -c /root/rpmlint.toml "/dist/$rpm"
for page in "$root"/root/tree/usr/share/man/man1/*.gz; do
    in_root mandoc -T lint -W warning "/root/tree/usr/share/man/man1/${page##*/}"
done
in_root bash -n /root/tree/usr/share/bash-completion/completions/tcpwatch
in_root zsh -n /root/tree/usr/share/zsh/vendor-completions/_tcpwatch
in_root fish --no-execute /root/tree/usr/share/fish/vendor_completions.d/tcpwatch.fish
step ok
