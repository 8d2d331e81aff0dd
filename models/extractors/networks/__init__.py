"""The networks as torch modules; importing one of these modules imports torch."""
