# Whoever has more than we have must not follow us, as long as that is open. It would lose it.
> leader 1 of=1,2,3 accepted=5 current=4 last=4:3
  nothing
> 2 connects accepted=5
  save accepted epoch 6
> 3 connects accepted=5
  nothing
> saved accepted 6
  send to 2 LEADERINFO 6:0
  send to 3 LEADERINFO 6:0
> 2: ACKEPOCH 4:4 epoch=4
  close 2: learner is ahead of the leader
> 2 connects link=22 accepted=6
  send to 22 LEADERINFO 6:0
> 22: ACKEPOCH 1:1 epoch=5
  close 22: learner is ahead of the leader
> 2 connects link=222 accepted=6
  send to 222 LEADERINFO 6:0
> 222: ACKEPOCH 4:4 epoch=-1
  nothing
> 3: ACKEPOCH 4:3 epoch=4
  save current epoch 6
  send to 3 DIFF 4:3
  send to 3 NEWLEADER 6:0
  send to 222 TRUNC 4:3
  send to 222 NEWLEADER 6:0
