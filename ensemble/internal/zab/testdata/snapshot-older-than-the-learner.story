# The tree may be behind the log. A snapshot of it must not replace a longer history, some of which may have been agreed upon because
# this learner has it. It has to try again.
> leader 1 of=1,2,3 accepted=2 current=2 log=1:3 last=2:5
  nothing
> 2 connects accepted=2
  save accepted epoch 3
> saved accepted 3
  send to 2 LEADERINFO 3:0
> 2: ACKEPOCH 2:5 epoch=2
  save current epoch 3
  send to 2 DIFF 2:5
  send to 2 NEWLEADER 3:0
> 3 connects java accepted=1
  send to 3 LEADERINFO 3:0
> 3: ACKEPOCH 1:5 epoch=1
  take snapshot for 3
> snapshot 3 1:3
  close 3: history no longer remembered
> 3 connects java link=33 accepted=3
  send to 33 LEADERINFO 3:0
> 33: ACKEPOCH 1:5 epoch=-1
  take snapshot for 33
> snapshot 33 2:4
  send to 33 PROPOSAL 2:5
  send to 33 COMMIT 2:5
  send to 33 NEWLEADER 3:0
# One that is older than what is remembered is of no use either.
> leader 1 of=1,2,3 accepted=2 current=2 last=2:5 remembers=2:3
  nothing
> 2 connects accepted=2
  save accepted epoch 3
> saved accepted 3
  send to 2 LEADERINFO 3:0
> 2: ACKEPOCH 2:5 epoch=2
  save current epoch 3
  send to 2 DIFF 2:5
  send to 2 NEWLEADER 3:0
> 3 connects accepted=1
  send to 3 LEADERINFO 3:0
> 3: ACKEPOCH 1:5 epoch=1
  take snapshot for 3
> snapshot 3 2:2
  close 3: history no longer remembered
