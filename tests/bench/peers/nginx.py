"""nginx: one process, its own rate and connection limits by token and address, a JSON log that is written in batches.
Only NGINX Plus checks a JWT.
"""

from __future__ import annotations

from pathlib import Path

from ..proxies import Ports
from .peer import Limits, Peer, descriptors, found

CONF = """\
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log {directory}/nginx.err crit;
events {{ worker_connections {files}; multi_accept on; }}

http {{
  log_format calls escape=json
    '{{"time":"$time_iso8601","id":"$request_id","client":"$remote_addr","method":"$request_method","path":"$uri",'
    '"status":$status,"sent":$bytes_sent,"took":$request_time,"upstream":"$upstream_addr",'
    '"upstream_status":"$upstream_status","upstream_took":"$upstream_response_time","limit":"$limit_req_status",'
    '"held":"$limit_conn_status","agent":"$http_user_agent"}}';
  access_log {directory}/calls.jsonl calls buffer=64k flush=1s;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};

  map $http_authorization $consumer {{
    "~\\.(?<signature>[^.]+)$" $signature;  # limit_conn counts no key of more than 255 bytes, and does not say so
    default $http_authorization;
  }}
  limit_req_zone $consumer zone=consumer:16m rate=1r/m;
  limit_req_zone $binary_remote_addr zone=address:1m rate=1r/m;
  limit_conn_zone $consumer zone=held:16m;
  limit_req_status 429;
  limit_conn_status 429;
  limit_req_log_level info;
  limit_conn_log_level info;

  keepalive_timeout 75s;
  keepalive_requests 1000000;
  client_body_buffer_size 128k;
  proxy_buffers 8 16k;

  upstream bench {{
    server 127.0.0.1:{upstream};
    keepalive 8192;
    keepalive_requests 1000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    limit_req zone=consumer burst={consumer} nodelay;
    limit_req zone=address burst={address} nodelay;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_read_timeout 125s;
    location / {{ proxy_pass http://bench; }}
    location /poll {{
      limit_conn held {held};
      proxy_pass http://bench;
    }}
  }}
}}
"""


def command(ports: Ports, directory: Path, limits: Limits) -> list[str]:
    path = directory / "nginx.conf"
    path.write_text(
        CONF.format(
            directory=directory, port=ports.proxy, upstream=ports.upstream, files=descriptors(), **limits._asdict()
        )
    )  # fmt: skip
    return [found("nginx"), "-c", str(path), "-e", f"{directory}/nginx.err"]


NGINX = Peer(
    name="nginx",
    package="apt-get install nginx",
    command=command,
    files=("nginx.conf",),
    programs=("nginx",),
    version=("nginx", "-v"),
    rates="limit_req, by token and by address",
    held="limit_conn, by token",
    log="log_format escape=json, buffer=64k flush=1s",
    records="calls.jsonl",
    remark="only NGINX Plus checks a JWT: its signature is a key of the limits, and nobody looks whether it is good",
)
