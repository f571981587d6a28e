"""FiftyOne as a view of the tables. The only package that knows FiftyOne; it imports it when it is used."""
