"""Tables in the formats of the CDS and the AAS journals."""
