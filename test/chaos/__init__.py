"""Real servers in network namespaces under faults, with a ledger of acknowledged writes."""
