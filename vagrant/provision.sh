#!/usr/bin/env bash
# Makes a fresh Debian machine into the client, the balancer or a backend. Can be run again.
set -euo pipefail

readonly vip=10.77.0.100
readonly balancer=10.77.0.2

install() {
    sudo apt-get update --quiet
    sudo DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$@"
}

provision_client() {
    install curl
}

# A web server whose page is the machine's name.
provision_backend() {
    install busybox
    sudo mkdir -p /srv/www
    hostname | sudo tee /srv/www/index.html >/dev/null
    start backend busybox httpd -f -p 80 -h /srv/www
}

provision_balancer() {
    install ca-certificates curl gcc git libc6-dev
    if ! [[ -x ~/.cargo/bin/cargo ]]; then
        curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs | sh -s -- -y
    fi
    # shellcheck source=/dev/null
    source ~/.cargo/env

    cd /ballast
    cargo xtask run --once

    local interface
    interface=$(ip -oneline -4 address | awk -v address="$balancer/" 'index($4, address) == 1 { print $2 }')
    sudo ip address replace "$vip/32" dev "$interface"
    sudo install -m 755 target/release/ballast /usr/local/bin/ballast
    sudo install -D -m 644 vagrant/ballast.toml /etc/ballast/ballast.toml
    ballast check --config /etc/ballast/ballast.toml
    start ballast /usr/local/bin/ballast run --config /etc/ballast/ballast.toml --interface "$interface"
}

# A transient unit: gone with a reboot, started again by `vagrant provision`.
start() {
    local unit=$1
    shift
    sudo systemctl stop "$unit" 2>/dev/null || true
    sudo systemctl reset-failed "$unit" 2>/dev/null || true
    sudo systemd-run --unit "$unit" --property Restart=on-failure "$@"
}

"provision_$1"
