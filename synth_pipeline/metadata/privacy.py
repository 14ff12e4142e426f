"""Which columns are personal: the sdtypes that identify a person, and the columns that do so by where they stand."""

from __future__ import annotations

from synth_pipeline.metadata import lexicon as lex
from synth_pipeline.metadata.names import Entity, Name

IDENTIFYING = frozenset(
    "first_name last_name name email phone_number street_address address secondary_address building_number ssn passport_number user_name "
    "password iban bban "
    "credit_card_number credit_card_security_code credit_card_expire license_plate vin ipv4_address ipv6_address mac_address user_agent_string "
    "imei".split()
)
"""Personal wherever they stand: a wrong yes costs a made-up value, a wrong no a disclosure."""

_NEAR_PERSONS = frozenset({"latitude", "longitude", "url", "company", "file_name", "file_path", "domain_name", "hostname"})
"""Personal in rows that describe a person or hold one's contact data."""

_WHERE = frozenset({"geo", "gps", "coordinate", "coordinates", "geolocation", "latlng"})

CONTACT = frozenset("first_name last_name name email phone_number street_address address".split())


def is_personal(sdtype: str, name: Name, entity: Entity, *, opaque: bool, contact_nearby: bool) -> bool:
    """Whether a column must not leave the source.

    Args:
        sdtype: what the column holds.
        name: its name as understood.
        entity: what a row of the table is.
        opaque: whether its values are bytes or documents.
        contact_nearby: whether other columns of the table are contact data.
    """
    if sdtype in IDENTIFYING:
        return True
    person = entity == "person"
    if sdtype in _NEAR_PERSONS or _WHERE.intersection(name.words):
        return person or contact_nearby
    if lex.PICTURES.intersection(name.words) and (opaque or sdtype in ("unknown", "text", "id")):
        return person or "signature" in name.words or "fingerprint" in name.words
    if sdtype == "text":
        return (person or contact_nearby) and bool(lex.PERSON_TEXT.intersection(name.words[-1:]))
    if sdtype == "id" and name.head == "extension":
        return person or contact_nearby
    return opaque and person


def note(sdtype: str, name: Name) -> str | None:
    """A remark for columns that are no identifiers but help to single a person out."""
    if sdtype == "datetime" and "birth" in name.words:
        return "a birth date helps to single a person out (quasi-identifier)"
    if name.head in ("gender", "sex", "nationality", "religion", "ethnicity", "race") or sdtype in ("postcode", "city", "job"):
        return "helps to single a person out together with other columns (quasi-identifier)"
    return None
