"""What an Ingress' annotations say is answered otherwise than by its Service: redirects, their form, error pages.

Pure: settings -> policies of its routes. Must not know hosts or paths.
"""

from __future__ import annotations

from proto.policies import CustomErrors, Moved, Policy, RedirectForm, UpstreamHost
from services.contract.annotations.settings import AnnotationSettings


def moved_of(settings: AnnotationSettings) -> tuple[Moved, ...]:
    """Where every request is sent; a temporal redirect wins (contract section 1.2)."""
    if settings.temporal_redirect:
        code = settings.temporal_redirect_code
        return (Moved(code if 300 <= code <= 307 else 302, settings.temporal_redirect),)
    if settings.permanent_redirect:
        code = settings.permanent_redirect_code
        return (Moved(code if 300 <= code <= 308 else 301, settings.permanent_redirect),)
    return ()


def answers_of(settings: AnnotationSettings, fallback: str) -> list[Policy]:
    """How redirects are written, what endpoints get as Host, and which errors ``fallback`` (the Upstream of
    ``default-backend``; empty: the global one) is asked about."""
    policies: list[Policy] = []
    form = RedirectForm(settings.relative_redirects, settings.use_port_in_redirects, settings.preserve_trailing_slash)
    if form != RedirectForm():
        policies.append(form)
    if settings.upstream_vhost:
        policies.append(UpstreamHost(settings.upstream_vhost))
    disabled = settings.disable_proxy_intercept_errors
    statuses = settings.custom_http_errors
    backend = "" if statuses is None else fallback  # the ConfigMap's statuses are the global default backend's
    errors = CustomErrors(statuses, None if disabled is None else not disabled, backend)
    if errors != CustomErrors():
        policies.append(errors)
    return policies
