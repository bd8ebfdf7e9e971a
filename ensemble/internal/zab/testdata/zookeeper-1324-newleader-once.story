# NEWLEADER comes once, in its place, with the epoch that was promised.
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> NEWLEADER 2:0
  abandon: packet that has no place here (NEWLEADER)
> learner 2 of=1,2,3 accepted=2 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:1 epoch=-1
> DIFF 1:1
  nothing
> NEWLEADER 3:0
  abandon: epoch is lower than one promised before (NEWLEADER)
> learner 2 of=1,2,3 accepted=2 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:1 epoch=-1
> DIFF 1:1
  nothing
> NEWLEADER 2:0
  save current epoch 2
> NEWLEADER 2:0
  abandon: packet that has no place here (NEWLEADER)
> learner 2 of=1,2,3 accepted=2 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:1 epoch=-1
> DIFF 1:1
  nothing
> NEWLEADER 2:0
  save current epoch 2
> UPTODATE
  abandon: packet that has no place here (UPTODATE)
