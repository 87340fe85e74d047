"""How far a student's volumes can be trusted, learnt from labelled cases."""
