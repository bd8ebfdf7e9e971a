# 3 was leader of epoch 2, proposed 2:1 which nobody else has, and may even have a snapshot with it. We have nothing of that epoch, but
# the history it began with: 3 is cut to its end. (Ours forget snapshots that are younger than the cut. Apache's do not, but they
# keep the log beyond a snapshot they are sent as well.)
> leader 1 of=1,2,3 accepted=2 current=2 last=1:3
  nothing
> 2 connects accepted=2
  save accepted epoch 3
> saved accepted 3
  send to 2 LEADERINFO 3:0
> 2: ACKEPOCH 1:3 epoch=2
  save current epoch 3
  send to 2 DIFF 1:3
  send to 2 NEWLEADER 3:0
> 3 connects accepted=2
  send to 3 LEADERINFO 3:0
> 3: ACKEPOCH 2:1 epoch=2
  send to 3 TRUNC 1:3
  send to 3 NEWLEADER 3:0
> 3 connects java link=33 accepted=2
  close 3: replaced by a new connection of the same server
  send to 33 LEADERINFO 3:0
> 33: ACKEPOCH 2:1 epoch=2
  send to 33 TRUNC 1:3
  send to 33 NEWLEADER 3:0
