"""The two faces of Établi, pages and HTTP API, over one table of routes. It knows flow and domain, never a
store or driver."""
