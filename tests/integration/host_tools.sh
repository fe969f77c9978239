#!/bin/sh
# What the slow tests need of the system: sshd, rsync, ip, unshare and PostgreSQL for separate hosts, Chromium for MLflow's
# pages. Installs what is missing (Debian, as root) without starting a service; otherwise says so in one line and lets
# the tests fail with theirs.
set -eu
PATH=$PATH:/usr/sbin:/sbin

missing=
for pair in sshd:openssh-server ssh:openssh-client rsync:rsync ip:iproute2 unshare:util-linux \
    chromium:chromium chromedriver:chromium-driver; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Some of the slow tests will fail: they need$missing, which only root on Debian can install here." >&2
    exit 0
fi

echo "Installing$missing ..."
# Debian starts a service as soon as it is installed, unless this file forbids it.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # a list of packages
if ! output=$(apt-get -q update 2>&1 &&
    apt-get -q -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends $missing 2>&1); then
    echo "$output" >&2
    exit 1
fi
