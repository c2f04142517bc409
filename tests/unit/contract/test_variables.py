"""nginx's variables in text, and the keys of the access log that are made of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.objects import ObjectKey
from proto.resources import Settings
from services.contract.configmap.read import Reading, read_configmap
from services.contract.variables.registry import FAMILIES, VARIABLES, known
from services.contract.variables.template import Template, TemplateError, Variable, parse_template

KEY = ObjectKey("configmap", "ingress-nginx", "controller")


def read(**data: str) -> Reading:
    return read_configmap(KEY, {name.replace("_", "-"): value for name, value in data.items()})


def test_text_and_variables_in_turn() -> None:
    template = parse_template("a $b-${c}d$E")
    assert template == Template(("a ", Variable("b"), "-", Variable("c"), "d", Variable("e")))
    assert template.names == ("b", "c", "e")
    assert parse_template("") == Template(())


@pytest.mark.parametrize("text", ["$", "a $ b", "${a", "${}", "$-", "${a-b}"])
def test_a_dollar_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(TemplateError, match=r"has a \$ without"):
        parse_template(text)


def test_filling_asks_for_what_it_needs_and_no_more() -> None:
    asked: list[str] = []

    def getter(name: str):  # type: ignore[no-untyped-def]
        asked.append(name)
        return lambda source: source[name]

    fill = parse_template("$a/$b/$a").fill(getter)
    assert asked == ["a", "b", "a"]
    assert fill({"a": "1", "b": "$a"}) == "1/$a/1"
    assert parse_template("plain").fill(getter)({}) == "plain"


@given(st.lists(st.one_of(st.text("ab -{}'\"\\"), st.sampled_from(sorted(VARIABLES)).map(Variable)), max_size=8))
def test_what_is_written_is_read_back(parts: list[str | Variable]) -> None:
    text = "".join(part if isinstance(part, str) else f"${{{part.name}}}" for part in parts)
    merged: list[str | Variable] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    assert parse_template(text) == Template(tuple(merged))


def test_every_variable_of_the_default_format_has_a_value() -> None:
    for name in parse_template(Settings().log_format_upstream).names:
        found = known(name)
        assert found is not None
        assert found.since != "never"


def test_families_and_strangers() -> None:
    assert known("http_x_anything") == FAMILIES[0]
    assert known("http_") is None
    assert known("nonsense") is None
    assert all(entry.doc for entry in (*VARIABLES.values(), *FAMILIES))


def test_a_log_format_is_read_as_nginx_reads_it_out_of_quotes() -> None:
    reading = read(log_format_upstream=r'{"a": \"$host\"}\t')
    assert reading.settings.log_format_upstream == '{"a": "$host"}\t'
    assert reading.diagnostics == ()


def test_variables_that_stay_empty_are_named() -> None:
    reading = read(log_format_upstream="$status $nonsense $geoip2_city $request_completion")
    assert reading.settings.log_format_upstream == "$status $nonsense $geoip2_city $request_completion"
    assert [diagnostic.code for diagnostic in reading.diagnostics] == ["configmap-variable-absent"] * 3
    assert "$nonsense is no variable" in reading.diagnostics[0].message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log_format_upstream", "$status $"),
        ("log_format_upstream", "x" * 20_000),
        ("access_log_path", "relative"),
        ("access_log_path", "syslog:server=1.2.3.4"),
        ("skip_access_log_urls", "/ok,~("),
        ("syslog_port", "0"),
        ("syslog_port", "many"),
    ],
)
def test_what_cannot_be_read_leaves_the_default(name: str, value: str) -> None:
    reading = read(**{name: value})
    assert getattr(reading.settings, name) == getattr(Settings(), name)
    assert [diagnostic.code for diagnostic in reading.diagnostics] == ["configmap-invalid"]


def test_the_other_keys() -> None:
    settings = read(
        access_log_path="/tmp/x",
        skip_access_log_urls="/a, ~^/b",
        enable_syslog="true",
        syslog_host="h",
        syslog_port="5140",
        log_format_escape_json="true",
        generate_request_id="false",
        disable_access_log="true",
    ).settings
    assert (settings.access_log_path, settings.skip_access_log_urls) == ("/tmp/x", ("/a", "~^/b"))
    assert (settings.enable_syslog, settings.syslog_host, settings.syslog_port) == (True, "h", 5140)
    assert (settings.log_format_escape_json, settings.generate_request_id) == (True, False)
    assert settings.disable_access_log
