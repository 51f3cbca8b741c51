"""From our errors to problem+json (RFC 9457): one table says which branch is which status. No trace, path
or SQL gets out.

Sentences are in the reader's language where they are known in it, else in English.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.domain.errors import (
    Conflict,
    EtabliError,
    Fault,
    Forbidden,
    InsufficientBalance,
    Misconfigured,
    NeedsPerson,
    NotFound,
    Rejected,
    TooLarge,
    Unavailable,
)

LANGUAGES = ("fr", "en")
"""The first is the default."""
RETRY_AFTER_SECONDS = 5
SEEN_CHARACTERS_MAX = 100


class Unauthenticated(Rejected):
    """Sign in first."""

    code = "unauthenticated"


class BadRequest(Rejected):
    """This is not a request that can be read."""

    code = "bad_request"


class MethodNotAllowed(Rejected):
    """This cannot be done here."""

    code = "method_not_allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__()
        self.allowed = allowed


class Precondition(Rejected):
    """This has changed since you saw it; look again, then ask again."""

    code = "precondition"


class TooSlow(Rejected):
    """The request did not arrive in time."""

    code = "too_slow"


class UnsupportedMedia(Rejected):
    """This kind of content is not taken here."""

    code = "unsupported_media_type"


class TooMany(Unavailable):
    """Too many attempts; wait before the next one."""

    code = "too_many"

    def __init__(
        self, detail: str = "", *, code: str = "", retry_after_seconds: int = RETRY_AFTER_SECONDS
    ) -> None:
        super().__init__(detail, code=code)
        self.retry_after_seconds = retry_after_seconds


STATUS: Mapping[type[EtabliError], HTTPStatus] = {
    EtabliError: HTTPStatus.INTERNAL_SERVER_ERROR,
    Rejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    BadRequest: HTTPStatus.BAD_REQUEST,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    Precondition: HTTPStatus.PRECONDITION_FAILED,
    TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    InsufficientBalance: HTTPStatus.PAYMENT_REQUIRED,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    NeedsPerson: HTTPStatus.CONFLICT,
    Misconfigured: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The nearest ancestor in this table decides."""

TITLES: Mapping[HTTPStatus, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: ("Cannot be read", "Illisible"),
    HTTPStatus.UNAUTHORIZED: ("Sign in first", "Connectez-vous d’abord"),
    HTTPStatus.PAYMENT_REQUIRED: ("Not enough on the account", "Solde insuffisant"),
    HTTPStatus.FORBIDDEN: ("Not allowed", "Non autorisé"),
    HTTPStatus.NOT_FOUND: ("Not found", "Introuvable"),
    HTTPStatus.METHOD_NOT_ALLOWED: ("Not possible here", "Impossible ici"),
    HTTPStatus.REQUEST_TIMEOUT: ("Too slow", "Trop lent"),
    HTTPStatus.CONFLICT: ("Not in this state", "Impossible dans cet état"),
    HTTPStatus.PRECONDITION_FAILED: ("Changed in the meantime", "Modifié entre-temps"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("Too large", "Trop volumineux"),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("Wrong kind of content", "Type de contenu non accepté"),
    HTTPStatus.UNPROCESSABLE_ENTITY: ("Cannot be done as asked", "Impossible tel que demandé"),
    HTTPStatus.TOO_MANY_REQUESTS: ("Too many attempts", "Trop de tentatives"),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("Our mistake", "Erreur de notre part"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Not available at the moment", "Indisponible pour le moment"),
}

FRENCH: Mapping[str, str] = {
    "unauthenticated": "Connectez-vous d’abord.",
    "credentials": "Cette adresse et ce mot de passe ne vont pas ensemble.",
    "sign_in.throttled": "Trop d’essais ; attendez un peu avant le prochain.",
    "csrf": "Cette demande ne vient pas d’une de nos pages ; rechargez la page et recommencez.",
    "forbidden": "Vous n’avez pas le droit de faire cela.",
    "not_found": "Cela n’existe pas.",
    "method_not_allowed": "Cela ne peut pas se faire ici.",
    "too_many_requests": "Trop de demandes ; attendez un peu avant la suivante.",
    "idempotency.running": "Cette demande est déjà en cours ; attendez sa réponse.",
    "idempotency.reused": "Cette clé a déjà servi à autre chose ; prenez-en une nouvelle.",
    "idempotency.key": "Ce n’est pas une clé d’idempotence.",
    "idempotency.once": "C’est fait, et la réponse ne se montre qu’une fois.",
    "idempotency.unknown": "La demande a commencé et sa réponse s’est perdue ; regardez ce qui a été fait.",
    "precondition": "Cela a changé depuis que vous l’avez vu ; regardez de nouveau, puis recommencez.",
    "insufficient_balance": "Le solde du compte ne couvre pas la somme à réserver.",
    "quote.expired": "Le devis a expiré ; demandez-en un nouveau.",
    "too_large": "C’est plus grand que la limite.",
    "too_slow": "La demande n’est pas arrivée à temps.",
    "upload.cut": "L’envoi a été interrompu ; recommencez.",
    "unsupported_media_type": "Ce type de contenu n’est pas accepté ici.",
    "unavailable": "Quelque chose manque en ce moment ; réessayez plus tard.",
    "file.analysing": "La forme est encore en cours d’analyse ; réessayez dans un instant.",
    "fields": "Certains champs ne vont pas.",
    "state": "Ce n’est pas possible dans l’état actuel.",
    "bed.in_use": "Un travail est en cours sur cette machine ; son plateau ne peut pas encore être libre.",
    "laser.remote_start": "Une telle machine ne se libère que sur l’appareil placé à côté d’elle.",
    "release.refused": "Le travail ne peut pas être libéré maintenant.",
    "kiosk.none": "Seul un appareil placé à la machine peut dire cela.",
    "kiosk.unknown": "Cet appareil n’est pas, ou plus, enregistré.",
    "kiosk.signature": "La signature n’est pas celle de cet appareil.",
    "kiosk.clock": "L’horloge de l’appareil n’est pas à l’heure.",
    "kiosk.replay": "Cela a déjà été dit.",
    "kiosk.elsewhere": "Cet appareil se trouve à une autre machine.",
    "kiosk.key": "Ce n’est pas la clé d’un tel appareil.",
    "kiosk.too_many": "Cette machine a déjà assez d’appareils ; révoquez-en un d’abord.",
    "override.two_people": "Une seconde personne doit le confirmer.",
    "override.reason": "Dites pourquoi on se passe du capteur.",
    "override.condition": "Cette machine n’a pas ce capteur.",
    "no_training": "Seule une personne formée à cette machine peut le faire.",
    "quote.process": "Ce fichier ne se fabrique pas ainsi.",
    "quote.machine_class": "Le lab n’a pas de machine de cette classe.",
    "laser.check": "Le fichier préparé n’a pas passé notre propre contrôle ; l’équipe est prévenue.",
    "source.lines": "Une machine par ligne : 12 = Prusa",
    "source.choice": "Ce choix n’est pas possible.",
    "source.taken": "Une source porte déjà ce nom.",
    "source.kind": "Cette installation ne sait pas parler à ce système.",
    "notices.too_many": "Trop d’annonces ; attendez une minute.",
    "notices.secret": "Ce n’est pas un secret de chez nous.",
    "webhook.address": "Aucun message ne peut être envoyé à cette adresse.",
    "webhook.topics": "Certains évènements demandés ne sont pas publiés.",
    "webhook.too_many": "Il y a déjà assez de webhooks ; supprimez-en un d’abord.",
    "webhook.off": "Ce webhook est éteint ; rallumez-le d’abord.",
    "outbound.address": "Cette adresse ne peut pas être appelée.",
    "outbound.unknown": "Ce nom d’hôte est inconnu.",
    "outbound.unreachable": "Le serveur ne répond pas.",
    "outbound.slow": "Le serveur n’a pas répondu à temps.",
    "seal.key": "La clé des secrets manque ou n’est pas la bonne ; l’exploitant doit s’en occuper.",
    "deadline.past": "Cette échéance est passée.",
    "deadline.notice": "Cette échéance est trop proche ; demandez à l’équipe.",
    "instant.form": "Cette date ne se lit pas.",
    "not_member": "Cette personne n’est pas membre du lab.",
    "member_inactive": "L’adhésion n’est pas active, ou a pris fin.",
    "booked_by_other": "Quelqu’un d’autre a déjà réservé ce moment.",
    "conflict": "Cela a changé entre-temps.",
    "changed": "Cela a changé entre-temps ; regardez l’état actuel.",
    "too_many": "Trop de demandes ; attendez un peu avant la prochaine.",
    "sign_in.busy": "Beaucoup de personnes se connectent en ce moment ; réessayez dans quelques secondes.",
    "quote.material": "Aucune machine assez grande ne prend ce matériau.",
    "quote.quantity": "Cette quantité n’est pas possible.",
    "report.period": "Ce n’est pas une période.",
    "calendar.order": "La fin doit venir après le début, le même jour.",
    "calendar.zone": "Ce fuseau horaire n’existe pas.",
    "token.limit": "Il y a déjà assez de clés ; révoquez-en une d’abord.",
    "token.scopes": "Choisissez ce que la clé permet : jamais plus que son membre.",
    "token.name": "Dites à quoi elle sert, en quelques mots.",
    "token.expires": "Cette date est passée.",
    "token.session": "Une clé ne crée pas de clés : connectez-vous.",
    "internal": "Quelque chose s’est mal passé chez nous ; c’est noté.",
}
"""Sentence per code; a fault's own text goes before it."""


class ShownFault(BaseModel):
    """One broken rule."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    where: str
    """The field or place, e.g. `process.infill_percent`; empty: the whole."""
    rule: str
    """A stable code for programs."""
    seen: str
    """What was found there."""
    remedy: str
    """What to do about it, in the reader's language."""
    text: str = ""
    """What is wrong, in the reader's language."""


class Problem(BaseModel):
    """What went wrong, after RFC 9457."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: str
    """`/problems/<code>`: stable, for programs."""
    title: str
    status: int
    detail: str
    faults: tuple[ShownFault, ...] = ()

    @property
    def code(self) -> str:
        return self.type.rpartition("/")[2]


def status_of(error: EtabliError) -> HTTPStatus:
    """The status of the nearest ancestor in STATUS."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem_of(error: EtabliError, language: str) -> Problem:
    """An error as its reader may see it. What an operator must mend is not shown to a member in detail."""
    status = status_of(error)
    faults = tuple(shown_fault(fault, language) for fault in error.faults)
    return Problem(
        type=f"/problems/{error.code}",
        title=TITLES[status][language != "en"],
        status=int(status),
        detail=_detail(error, faults, language),
        faults=faults,
    )


def retry_after_seconds(error: EtabliError) -> int | None:
    """What the Retry-After header says; None: it has none."""
    if isinstance(error, TooMany):
        return error.retry_after_seconds
    return RETRY_AFTER_SECONDS if isinstance(error, Unavailable | Misconfigured) else None


def _detail(error: EtabliError, faults: Sequence[ShownFault], language: str) -> str:
    if language == "en":
        return error.detail
    told = next((fault.text for fault in faults if fault.text and error.code != "fields"), "")
    return told or FRENCH.get(error.code) or error.detail


def shown_fault(fault: Fault, language: str) -> ShownFault:
    """`texts` holds the sentence under the language, and the remedy under `remedy_<language>` where it has
    one."""
    return ShownFault(
        where=fault.where,
        rule=fault.rule,
        seen=fault.seen[:SEEN_CHARACTERS_MAX],
        remedy=fault.texts.get(f"remedy_{language}", fault.remedy),
        text=fault.texts.get(language, fault.texts.get("en", "")),
    )


# --- what a model refuses -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Words:
    rule: str
    en: str
    fr: str


_WRONG_TYPE = {
    "int": ("Send a whole number.", "Envoyez un nombre entier."),
    "string": ("Send a text.", "Envoyez un texte."),
    "bool": ("Send true or false.", "Envoyez true ou false."),
    "uuid": ("Send an id as we gave it.", "Envoyez un identifiant tel que nous l’avons donné."),
    "dict": ("Send an object.", "Envoyez un objet."),
    "model": ("Send an object.", "Envoyez un objet."),
    "enum": ("Send one of {expected}.", "Envoyez l’une de ces valeurs : {expected}."),
    "literal": ("Send one of {expected}.", "Envoyez l’une de ces valeurs : {expected}."),
}
FIELD_WORDS: Mapping[str, Words] = {
    "missing": Words(rule="field.missing", en="Send this field.", fr="Envoyez ce champ."),
    "extra_forbidden": Words(
        rule="field.unknown", en="Leave this field out.", fr="Retirez ce champ : il n’existe pas."
    ),
    "greater_than_equal": Words(rule="field.range", en="At least {ge}.", fr="Au moins {ge}."),
    "less_than_equal": Words(rule="field.range", en="At most {le}.", fr="Au plus {le}."),
    "string_too_long": Words(
        rule="field.length", en="At most {max_length} characters.", fr="Au plus {max_length} caractères."
    ),
    "string_too_short": Words(
        rule="field.length", en="At least {min_length} characters.", fr="Au moins {min_length} caractères."
    ),
} | {
    f"{kind}{ending}": Words(rule="field.type", en=en, fr=fr)
    for kind, (en, fr) in _WRONG_TYPE.items()
    for ending in ("", "_type", "_parsing", "_error", "_attributes_type")
}


TAG = "as:"
"""Begins the name of one shape of several that a field may have; no part of the field's own name."""


def field_faults(error: ValidationError, within: str = "") -> Rejected:
    """Every field that a model refuses, at once; `within` names the field that the model is."""
    details = error.errors(include_url=False, include_context=True)
    faults = tuple(_field_fault(one, within) for one in details[:50])
    return Rejected("Some fields are not as they must be.", code="fields", faults=faults)


def _field_fault(one: ErrorDetails, within: str) -> Fault:
    words = FIELD_WORDS.get(one["type"], Words(rule="field.value", en=one["msg"], fr=one["msg"]))
    filled = {k: str(v) for k, v in one.get("ctx", {}).items()}
    en, fr = words.en, words.fr
    for name, value in filled.items():
        en, fr = en.replace(f"{{{name}}}", value), fr.replace(f"{{{name}}}", value)
    missing = one["type"] == "missing"
    where = [part for part in (within, *one["loc"]) if part and not str(part).startswith(TAG)]
    return Fault(
        rule=words.rule,
        where=".".join(str(part)[:SEEN_CHARACTERS_MAX] for part in where),
        seen="" if missing or "password" in one["loc"] else _seen(one["input"]),
        remedy=en,
        texts={"remedy_fr": fr, "en": en, "fr": fr},
    )


def _seen(value: object) -> str:
    """A glimpse of what was sent; never more, and never of something large."""
    if isinstance(value, dict | list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return str(value)[:SEEN_CHARACTERS_MAX]
