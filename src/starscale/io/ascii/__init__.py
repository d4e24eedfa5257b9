"""Text tables that describe their columns: MRT, CDS and IPAC."""
