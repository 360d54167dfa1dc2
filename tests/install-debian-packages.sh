#!/bin/sh
# Installs programs that some tests drive, such as `install-debian-packages.sh prometheus jq`: only as root, only where
# there is apt, only what is missing. It never fails and takes ten minutes at most: where it could not install one, it
# says so, and the tests that need it are skipped by name.

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
apt() { DEBIAN_FRONTEND=noninteractive timeout "$1" apt-get -qq -o DPkg::Lock::Timeout=60 -o Dpkg::Use-Pty=0 "$2" \
  --no-install-recommends ${3:-} >/dev/null 2>&1 </dev/null; }

command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || exit 0
missing=''
for package in "$@"; do installed "$package" || missing="$missing $package"; done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "Not installed:$missing (apt-get install them, and their tests run too)"
  exit 0
fi

echo "Installing what some tests drive:$missing .."
apt 120 update
for package in $missing; do
  apt 240 install "$package" || echo "$package could not be installed: the tests that need it are skipped"
  # A test starts its own; Debian's starts with the machine, on ports that others may want, such as the gateway.
  case $package in
    prometheus | nginx | haproxy) services=$package.service ;;
    varnish) services='varnish.service varnishncsa.service' ;;
    *) continue ;;
  esac
  # shellcheck disable=SC2086
  command -v systemctl >/dev/null && systemctl disable --now --quiet $services >/dev/null 2>&1
done
exit 0
