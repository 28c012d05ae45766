"""What the access log does not say of clients."""

from __future__ import annotations

import ipaddress
import json

import attrs
import pytest
from twisted.internet.task import Clock

from proxykit.config.load import ConfigurationErrors, from_mapping
from proxykit.engine.record import ExchangeRecord
from proxykit.observe.log_formats import combined, compile_format, json_line
from proxykit.observe.privacy import OPEN, Privacy
from proxykit.service.compilation import Environment
from proxykit.service.log import make_access_log
from tests.observe.records import RECORD

SEARCH = attrs.evolve(
    RECORD, target=b"http://a.example/find?q=flu", referer=b"http://b.example/?name=ada#x"
)
HASHED = Privacy("hash", "hash", b"a secret of 16 bytes")


def written(privacy, record=SEARCH):
    return json.loads(compile_format("json", privacy)(record))


def test_a_log_that_says_everything_has_nothing_in_its_way():
    assert compile_format("json", OPEN) is json_line
    assert compile_format("combined") is combined


def test_what_is_left_out_is_nowhere_in_the_line():
    for text in ("json", "combined", "{client_address} {target} {referer}"):
        line = compile_format(text, Privacy("omit", "omit"))(SEARCH)

        assert "192.0.2.1" not in line
        assert "flu" not in line
        assert "ada" not in line.replace("- ada [", "").replace('"user":"ada"', "")
        assert "http://a.example/find" in line


def test_the_record_itself_is_left_as_it_is_for_other_observers():
    compile_format("json", Privacy("omit", "omit"))(SEARCH)

    assert SEARCH.client_address == "192.0.2.1"
    assert SEARCH.target.endswith(b"flu")


def test_a_pseudonym_is_the_same_for_the_same_and_another_for_others():
    first, second = written(HASHED), written(HASHED)
    other = written(HASHED, attrs.evolve(SEARCH, client_address="192.0.2.2", target=b"/find?q=x"))

    assert first["client_address"] == second["client_address"] != other["client_address"]
    assert first["target"] == second["target"]
    assert first["target"].startswith("http://a.example/find?")
    assert first["target"].partition("?")[2] != other["target"].partition("?")[2]
    assert "flu" not in first["target"]


def test_it_cannot_be_looked_up_by_who_does_not_have_the_secret():
    pseudonym = written(HASHED)["client_address"]
    network = [str(each) for each in ipaddress.ip_network("192.0.2.0/24")]

    def found_with(secret):
        guesser = Privacy("hash", "full", secret)
        tried = (attrs.evolve(RECORD, client_address=address) for address in network)
        return [pseudonym == written(guesser, record)["client_address"] for record in tried]

    assert any(found_with(b"a secret of 16 bytes"))
    assert not any(found_with(b"another secret of"))


def test_a_daily_pseudonym_lasts_a_day():
    daily = Privacy("hash", "full", b"a secret of 16 bytes", daily=True)

    def on(seconds):
        return written(daily, attrs.evolve(RECORD, started_at=seconds))["client_address"]

    assert on(1.0) == on(86_399.0) != on(86_401.0)


def test_addresses_and_queries_are_treated_by_themselves():
    assert written(Privacy("omit", "full"))["target"].endswith("?q=flu")
    assert written(Privacy("full", "omit"))["client_address"] == "192.0.2.1"


def test_a_unix_client_has_no_address_to_hide():
    local = attrs.evolve(RECORD, client_address="")

    assert written(HASHED, local)["client_address"] == ""
    assert compile_format("common", Privacy("omit"))(local).startswith("- - ")


# --- the keys ---------------------------------------------------------------------------------


def log_of(tmp_path, **log):
    listener = {"listen": "127.0.0.1:1"}
    configuration = from_mapping({"log": log, "forward": {"a": listener}}, tmp_path)

    return make_access_log(configuration, Environment.of(Clock()))


def line_of(tmp_path, **log):
    path = tmp_path / "log"
    made = log_of(tmp_path, access=str(path), format="json", **log)
    made.start()
    made.finished(SEARCH)
    made.stop()
    return json.loads(path.read_text().splitlines()[-1])


def test_a_secret_file_makes_the_same_pseudonyms_after_a_restart(tmp_path):
    (tmp_path / "secret").write_bytes(b"sixteen bytes or more\n")
    keys = {"addresses": "hash", "secret_file": "secret"}

    assert line_of(tmp_path, **keys) == line_of(tmp_path, **keys)


def test_without_one_they_are_forgotten_with_the_process(tmp_path):
    first, second = (line_of(tmp_path, addresses="hash") for _ in range(2))

    assert first["client_address"] != second["client_address"]


@pytest.mark.parametrize("secret", [None, b"short"])
def test_a_secret_that_is_none_is_an_error(tmp_path, secret):
    if secret is not None:
        (tmp_path / "secret").write_bytes(secret)

    with pytest.raises(ConfigurationErrors, match=r"log\.secret_file"):
        log_of(tmp_path, addresses="hash", secret_file="secret")


def test_another_treatment_than_the_three_is_an_error(tmp_path):
    with pytest.raises(ConfigurationErrors, match=r"log\.addresses"):
        log_of(tmp_path, addresses="mask")


def test_records_have_no_other_field_with_the_client_in_it():
    # Who adds a field to the record says here that it was thought of.
    said = {each.name for each in attrs.fields(ExchangeRecord)}

    assert {name for name in said if "address" in name} == {"client_address"}
    assert {"target", "referer", "client_address"} <= said
