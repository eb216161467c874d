"""Hands out another library's application where the page needs a router."""

from appliance.hookspecs import WebExtension, hookimpl


def application(environ, start_response):
    start_response("200 OK", [])
    return []


@hookimpl
def web_extensions(context):
    return [WebExtension("broken", application)]
