"""Reading the books as they stood at a posting: campaigns, sums, levels, uniques, doubts.

``number`` is the posting up to which lines are seen; None sees all. Every function gives for None what it gives for the
newest number. Sums over any grid are cut from the entries by the rule of ``series.share``, in integers.
"""
