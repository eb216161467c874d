"""What a value that pydantic refused should have been, as the end of a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import ErrorDetails

from appliance.text import T, Text


def allowed(detail: ErrorDetails) -> Text | str:
    """What would be allowed instead, for one of a `ValidationError`'s `errors()`."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        said = context["error"].args[0] if context["error"].args else ""
        return said if isinstance(said, Text) else str(said)
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return simple
    limits = _LIMITS.get(kind)
    if limits is not None:
        name, text = limits
        limit = context[name]
        return Text(text.message, {"limit": f"{limit:g}" if isinstance(limit, float) else limit})
    choices = context.get("expected") or context.get("expected_tags")
    if choices is not None:
        return T("write one of {choices}", choices=choices.replace(" or ", ", "))
    return T("this is not allowed ({message})", message=detail["msg"])


_TEXT = T('write a text in quotes, such as "text"')
_WHOLE = T("write a whole number without quotes")
_NUMBER = T("write a number without quotes")
_SWITCH = T("write true or false, without quotes")
_LIST = T('write a list in brackets, such as ["one", "two"]')
_TABLE = T("this is a table: write its settings below its name in brackets")

_DATE = T("write a date such as 2026-05-20")
_MOMENT = T("write a moment with its offset, such as 2026-05-20T09:00:00+09:00")
_TIME = T("write a time of day such as 22:00")

_SIMPLE: Mapping[str, Text] = {
    "string_type": _TEXT,
    "path_type": _TEXT,
    "is_instance_of": _TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": T("write a number that is not so long"),
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "dict_type": _TABLE,
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "timezone_aware": _MOMENT,
    "time_type": _TIME,
    "time_parsing": _TIME,
    "missing": T("this is missing"),
    "union_tag_not_found": T("its kind is missing"),
}

_LIMITS: Mapping[str, tuple[str, Text]] = {
    "greater_than": ("gt", T("write a number greater than {limit}")),
    "greater_than_equal": ("ge", T("write {limit} or more")),
    "less_than": ("lt", T("write a number smaller than {limit}")),
    "less_than_equal": ("le", T("write {limit} or less")),
    "string_too_short": ("min_length", T("write at least {limit} characters")),
    "string_too_long": ("max_length", T("write at most {limit} characters")),
    "too_short": ("min_length", T("write at least {limit} elements")),
    "too_long": ("max_length", T("write at most {limit} elements")),
    "string_pattern_mismatch": ("pattern", T("write a text that matches the pattern {limit}")),
}
