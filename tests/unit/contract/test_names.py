"""Every name that ingress-nginx gives to annotations and to keys of its ConfigMap is known, and decided on."""

from __future__ import annotations

from services.contract.annotations.entry import PREFIX
from services.contract.annotations.registry import BY_FULL_NAME, REGISTRY
from services.contract.configmap.registry import KEYS

ANNOTATIONS = """
rewrite-target use-regex app-root ssl-redirect force-ssl-redirect preserve-trailing-slash permanent-redirect
permanent-redirect-code temporal-redirect temporal-redirect-code from-to-www-redirect relative-redirects
use-port-in-redirects server-alias default-backend custom-http-errors disable-proxy-intercept-errors
x-forwarded-prefix upstream-vhost satisfy proxy-body-size proxy-connect-timeout proxy-read-timeout
proxy-send-timeout proxy-buffering proxy-buffer-size proxy-buffers-number proxy-busy-buffers-size
proxy-max-temp-file-size proxy-request-buffering client-body-buffer-size proxy-http-version proxy-next-upstream
proxy-next-upstream-tries proxy-next-upstream-timeout proxy-cookie-domain proxy-cookie-path proxy-redirect-from
proxy-redirect-to connection-proxy-header backend-protocol service-upstream fastcgi-index fastcgi-params-configmap
enable-access-log enable-rewrite-log http2-push-preload custom-headers mirror-target mirror-request-body
mirror-host auth-type auth-secret auth-secret-type auth-realm auth-url auth-signin auth-signin-redirect-param
auth-response-headers auth-method auth-request-redirect auth-proxy-set-headers auth-always-set-cookie
auth-cache-key auth-cache-duration auth-keepalive auth-keepalive-share-vars auth-keepalive-requests
auth-keepalive-timeout enable-global-auth auth-tls-secret auth-tls-verify-client auth-tls-verify-depth
auth-tls-pass-certificate-to-upstream auth-tls-error-page auth-tls-match-cn whitelist-source-range
allowlist-source-range denylist-source-range limit-rps limit-rpm limit-connections limit-burst-multiplier
limit-whitelist limit-allowlist limit-rate limit-rate-after enable-cors cors-allow-origin cors-allow-methods
cors-allow-headers cors-expose-headers cors-allow-credentials cors-max-age ssl-passthrough ssl-ciphers
ssl-prefer-server-ciphers proxy-ssl-secret proxy-ssl-verify proxy-ssl-verify-depth proxy-ssl-name
proxy-ssl-server-name proxy-ssl-protocols proxy-ssl-ciphers affinity affinity-mode session-cookie-name
session-cookie-path session-cookie-expires session-cookie-max-age session-cookie-samesite
session-cookie-conditional-samesite-none session-cookie-secure session-cookie-domain
session-cookie-change-on-failure affinity-canary-behavior load-balance upstream-hash-by upstream-hash-by-subset
upstream-hash-by-subset-size canary canary-weight canary-weight-total canary-by-header canary-by-header-value
canary-by-header-pattern canary-by-cookie enable-opentelemetry opentelemetry-trust-incoming-span
opentelemetry-operation-name enable-modsecurity enable-owasp-core-rules modsecurity-transaction-id
configuration-snippet server-snippet auth-snippet stream-snippet modsecurity-snippet
"""
"""Those of its last release."""

CONFIGMAP_KEYS = """
access-log-params access-log-path add-headers allow-backend-server-header allow-cross-namespace-resources
allow-snippet-annotations annotation-value-word-blocklist annotations-risk-level bind-address bind-address-ipv4
bind-address-ipv6 block-cidrs block-referers block-user-agents brotli-level brotli-min-length brotli-types
client-body-buffer-size client-body-timeout client-header-buffer-size client-header-timeout
compute-full-forwarded-for custom-http-errors debug-connections default-type denylist-source-range
disable-access-log disable-http-access-log disable-ipv6 disable-ipv6-dns disable-proxy-intercept-errors
disable-stream-access-log enable-access-log-for-default-backend enable-aio-write enable-auth-access-log
enable-brotli enable-modsecurity enable-multi-accept enable-ocsp enable-opentelemetry enable-owasp-modsecurity-crs
enable-real-ip enable-serial-reloads enable-syslog enable-underscores-in-headers error-log-level error-log-path
force-ssl-redirect forwarded-for-header forwarded-for-proxy-protocol-header generate-request-id
geoip2-autoreload-in-minutes global-allowed-response-headers global-auth-always-set-cookie
global-auth-cache-duration global-auth-cache-key global-auth-method global-auth-proxy-set-headers
global-auth-request-redirect global-auth-response-headers global-auth-signin global-auth-signin-redirect-param
global-auth-snippet global-auth-url grpc-buffer-size-kb gzip-disable gzip-level gzip-min-length gzip-types
hide-headers hsts hsts-include-subdomains hsts-max-age hsts-preload http-access-log-path http-redirect-code
http-snippet http2-max-concurrent-streams http2-max-field-size http2-max-header-size http2-max-requests
ignore-invalid-headers keep-alive keep-alive-requests large-client-header-buffers limit-conn-status-code
limit-conn-zone-variable limit-rate limit-rate-after limit-req-status-code load-balance location-snippet
log-format-escape-json log-format-escape-none log-format-stream log-format-upstream lua-shared-dicts main-snippet
map-hash-bucket-size max-worker-connections max-worker-open-files modsecurity-snippet nginx-status-ipv4-whitelist
nginx-status-ipv6-whitelist no-auth-locations no-tls-redirect-locations opentelemetry-config
opentelemetry-operation-name opentelemetry-trust-incoming-span otel-max-export-batch-size otel-max-queuesize
otel-sampler otel-sampler-parent-based otel-sampler-ratio otel-schedule-delay-millis otel-service-name
otlp-collector-host otlp-collector-port preserve-trailing-slash proxy-add-original-uri-header proxy-body-size
proxy-buffer-size proxy-buffering proxy-buffers-number proxy-busy-buffers-size proxy-connect-timeout
proxy-cookie-domain proxy-cookie-path proxy-headers-hash-bucket-size proxy-headers-hash-max-size
proxy-http-version proxy-max-temp-file-size proxy-next-upstream proxy-next-upstream-timeout
proxy-next-upstream-tries proxy-protocol-header-timeout proxy-read-timeout proxy-real-ip-cidr proxy-redirect-from
proxy-redirect-to proxy-request-buffering proxy-send-timeout proxy-set-headers proxy-ssl-location-only
proxy-stream-next-upstream proxy-stream-next-upstream-timeout proxy-stream-next-upstream-tries
proxy-stream-responses proxy-stream-timeout relative-redirects retry-non-idempotent reuse-port
server-name-hash-bucket-size server-name-hash-max-size server-snippet server-tokens service-upstream
skip-access-log-urls ssl-buffer-size ssl-ciphers ssl-dh-param ssl-early-data ssl-ecdh-curve ssl-protocols
ssl-redirect ssl-reject-handshake ssl-session-cache ssl-session-cache-size ssl-session-ticket-key
ssl-session-tickets ssl-session-timeout stream-access-log-path stream-snippet strict-validate-path-type
syslog-host syslog-port upstream-keepalive-connections upstream-keepalive-requests upstream-keepalive-time
upstream-keepalive-timeout use-forwarded-headers use-geoip use-geoip2 use-gzip use-http2 use-port-in-redirects
use-proxy-protocol variables-hash-bucket-size variables-hash-max-size whitelist-source-range worker-cpu-affinity
worker-processes worker-shutdown-timeout
"""
"""Those that its documentation lists, or that its code reads beside them."""


def test_every_annotation_is_known() -> None:
    assert [name for name in ANNOTATIONS.split() if PREFIX + name not in BY_FULL_NAME] == []
    assert len(set(ANNOTATIONS.split())) == len(ANNOTATIONS.split()) >= 117


def test_every_key_is_known() -> None:
    assert [name for name in CONFIGMAP_KEYS.split() if name not in KEYS] == []
    assert len(set(CONFIGMAP_KEYS.split())) == len(CONFIGMAP_KEYS.split()) >= 192


def test_what_is_not_honoured_says_why() -> None:
    assert [entry.name for entry in REGISTRY.values() if not entry.doc] == []
    assert [key.name for key in KEYS.values() if not key.doc] == []
