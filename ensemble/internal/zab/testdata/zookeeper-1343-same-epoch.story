# Learners have accepted epochs equal to and above ours: the new epoch is above all of them, even those that do not count.
> leader 1 of=1,2,3 observers=4 accepted=7 current=1 last=1:1
  nothing
> 4 connects observer accepted=7
  nothing
> 2 connects accepted=8
  save accepted epoch 9
# A learner that has promised this very epoch before, perhaps to somebody else, says so and is not counted.
> saved accepted 9
  send to 4 LEADERINFO 9:0
  send to 2 LEADERINFO 9:0
> 3 connects accepted=9
  send to 3 LEADERINFO 9:0
> 3: ACKEPOCH 1:1 epoch=-1
  nothing
> 2: ACKEPOCH 1:1 epoch=1
  save current epoch 9
  send to 2 DIFF 1:1
  send to 2 NEWLEADER 9:0
  send to 3 DIFF 1:1
  send to 3 NEWLEADER 9:0
> learner 3 of=1,2,3 accepted=9 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 9:0
> LEADERINFO 9:0
  send ACKEPOCH 1:1 epoch=-1
# One that has promised a higher epoch follows nobody lower.
> learner 3 of=1,2,3 accepted=10 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 10:0
> LEADERINFO 9:0
  abandon: epoch is lower than one promised before
