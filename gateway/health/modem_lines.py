"""The modem in the health check, pure: card, network, signal. The way to central is judged by its probes."""

from __future__ import annotations

from cloud_sync.health import Bound, HealthLine, Outcome
from cloud_sync.modem import ModemState, Registration, Sim
from cloud_sync.vocabulary import Scalar
from gateway.health.limits import Limit

MODEM_DBM = Limit(-100, -110)
"""Below -100 dBm a message may need several tries; at -110 most modems lose the network."""
_MAX_TEXT = 160
_SIM = {
    Sim.UNKNOWN: ("sim_unknown", "ask_again"),
    Sim.PIN_WANTED: ("sim_pin_wanted", "give_sim_pin"),
    Sim.PIN_REFUSED: ("sim_pin_refused", "correct_sim_pin"),
    Sim.PUK_WANTED: ("sim_puk_wanted", "unblock_sim"),
    Sim.ABSENT: ("sim_absent", "insert_sim"),
    Sim.FAULTY: ("sim_faulty", "replace_sim"),
}
_OUTSIDE = {
    Registration.UNKNOWN: ("network_unknown", "ask_again"),
    Registration.NONE: ("network_none", "move_modem"),
    Registration.SEARCHING: ("network_searching", "move_modem"),
    Registration.DENIED: ("network_denied", "ask_operator"),
}


def judge_modem(state: ModemState) -> list[HealthLine]:
    """Each fault once: without a modem nothing is said of its card, without a card nothing of the network."""
    error: dict[str, Scalar] = {"error": state.last_error[:_MAX_TEXT]}
    if not state.is_present:
        return [_line("modem.sim", Outcome.FAIL, "modem_sim", "modem_missing", "plug_in_modem", error)]
    if state.sim is not Sim.READY:
        result = Outcome.UNKNOWN if state.sim is Sim.UNKNOWN else Outcome.FAIL
        return [_line("modem.sim", result, "modem_sim", *_SIM[state.sim], error)]
    found = [_line("modem.sim", Outcome.OK, "modem_sim", "sim_ready", "", {}), _network(state)]
    if state.registration.is_in:
        found.append(_signal(state.signal_dbm))
    return found


def _network(state: ModemState) -> HealthLine:
    params: dict[str, Scalar] = {"operator": state.operator, "error": state.last_error[:_MAX_TEXT]}
    if not state.registration.is_in:
        result = Outcome.UNKNOWN if state.registration is Registration.UNKNOWN else Outcome.FAIL
        return _line("modem.network", result, "modem_network", *_OUTSIDE[state.registration], params)
    if state.failed:
        return _line("modem.network", Outcome.WARN, "modem_network", "sms_fail", "ask_operator", params)
    if state.registration is Registration.ROAMING:
        return _line("modem.network", Outcome.OK, "modem_network", "network_roaming", "", params)
    return _line("modem.network", Outcome.OK, "modem_network", "network_home", "", params)


def _signal(dbm: int | None) -> HealthLine:
    if dbm is None:
        return HealthLine(
            id="modem.signal",
            result=Outcome.UNKNOWN,
            text_key="modem_signal",
            unit="dBm",
            limit=MODEM_DBM.warn,
            bound=Bound.LEAST,
            found_key="signal_not_told",
            next_key="ask_again",
        )
    result = Outcome.FAIL if dbm < MODEM_DBM.fail else Outcome.WARN if dbm < MODEM_DBM.warn else Outcome.OK
    return HealthLine(
        id="modem.signal",
        result=result,
        text_key="modem_signal",
        value=dbm,
        unit="dBm",
        limit=MODEM_DBM.warn,
        bound=Bound.LEAST,
        next_key="" if result is Outcome.OK else "move_modem",
    )


def _line(
    line_id: str, result: Outcome, text_key: str, found_key: str, next_key: str, params: dict[str, Scalar]
) -> HealthLine:
    return HealthLine(
        id=line_id, result=result, text_key=text_key, found_key=found_key, next_key=next_key, params=params
    )
