"""Every bound on a drawing as it is read; each is refused by name (`svg.*`), never silently cut short."""

from __future__ import annotations

from slicing.limits import MIB

BYTES_MAX = 20 * MIB  # of the file; also of what a compressed one unpacks to
RATIO_MAX = 100  # svgz: unpacked to packed
TAGS_MAX = 600_000  # before anything is parsed: what a tree may cost in memory
DEPTH_MAX = 200  # of groups and of what `use` brings in
ELEMENTS_MAX = 100_000  # walked, each time that a `use` draws it again
POINTS_MAX = 2_000_000  # of path data, before curves are flattened
FLAT_POINTS_MAX = 6_000_000  # after; a drawing that would have more is flattened more coarsely
COARSEST_MM = 0.5
COORDINATE_MM_MAX = 10_000.0
PICTURE_PIXELS_MAX = 50_000_000  # of all pictures together
SELECTOR_TESTS_MAX = 1_000_000
SHEET_CHARS_MAX = 1_000_000
ATTRIBUTES_MAX = 250  # of one element
RULES_MAX = 5_000
ENTITIES_MAX = 200
ENTITY_CHARS_MAX = 1000
TEXTS_MAX = 2_000
TEXT_CHARS_MAX = 10_000
PLACES_MAX = 20  # boxes told with one warning
