"""Who a worker calls for events: the handlers of the modules that its settings name."""

from agents.handler_modules import check_names, handlers_in
from agents.handlers import Handler
from gateway.settings import Settings


def handlers_of(settings: Settings) -> list[Handler]:
    """All of them; imports the modules. Raises Invalid (`handler.invalid`)."""
    found = handlers_in(settings.handlers.modules)
    check_names(found)
    return found
