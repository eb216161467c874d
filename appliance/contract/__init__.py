"""The service contract (利用契約) that the box keeps: pure values and functions, the clock passed in."""
