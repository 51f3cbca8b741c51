"""The HTTP API: handlers that parse, call one function of the flow, and show its answer in the contract's
shapes."""
