package node

// Origin is what the verdicts that are kept for the next start must have come from.
func (c *Config) Origin() string { return c.origin() }

// AddressesOf is what central is told of the node's interfaces.
var AddressesOf = addressesOf
