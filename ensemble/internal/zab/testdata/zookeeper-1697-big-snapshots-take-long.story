# A learner that is being synchronised has its own deadline, initLimit and syncLimit together, and progress moves it.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:5 remembers=1:5
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> saved accepted 2
  send to 2 LEADERINFO 2:0
> 2: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  take snapshot for 2
> saved current 2
  nothing
> wait 9000
  nothing
> snapshot 2 1:5
  send to 2 NEWLEADER 2:0
> progress 2
  nothing
> wait 9500
  nothing
> progress 2
  nothing
> wait 9500
  nothing
> 2: ACK 2:0
  established 2
  send to 2 UPTODATE
  send to 2 PING 2:0 answers=0
# Without any, the phase fails.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:5 remembers=1:5
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> saved accepted 2
  send to 2 LEADERINFO 2:0
> 2: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  take snapshot for 2
> saved current 2
  nothing
> wait 10500
  abdicate: no quorum in initLimit
# The learner's side.
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> SNAP 1:5
  install 1:5
> wait 9500
  nothing
> progress
  nothing
> wait 9500
  nothing
> progress
  nothing
> wait 10500
  abandon: nothing heard in time
