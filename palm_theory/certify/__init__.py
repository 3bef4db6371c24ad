"""All that is known of J*, and what follows from it: audits, certificates, subsets that keep them."""
