"""The inbox: raw deliveries, kept before anything is answered and read long after."""
