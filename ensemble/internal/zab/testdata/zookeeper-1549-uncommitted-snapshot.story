# 3 was leader of epoch 2, proposed 2:1 which nobody else has, and may even have a snapshot with it. We do not know that epoch's
# transactions: it gets a snapshot, which replaces whatever it has.
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
  take snapshot for 3
> snapshot 3 1:3
  send to 3 NEWLEADER 3:0
