"""The adapters that speak a machine's protocol, one folder a protocol; `registry` names them all."""
