"""Who is who: the BSN vault, the pregnancies of a woman and how dossiers join them. The only place that keeps a BSN."""
