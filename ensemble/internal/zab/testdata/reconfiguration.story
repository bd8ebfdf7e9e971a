# We do not know how to take another configuration yet, so we say so instead of going on with the wrong one.
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
> saved current 2
  send ACK 2:0
> UPTODATE
  send ACK 2:0
  established 2
> PROPOSAL 2:1
  append 2:1
> COMMITANDACTIVATE 2:1
  committed 2:1
  abandon: the ensemble was reconfigured
> learner 2 of=1,2,3 accepted=2 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:1 epoch=-1
> DIFF 1:1
  nothing
> NEWLEADER 2:0 text=server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.4=c:1:2:participant\nversion=100000001
  abandon: the ensemble was reconfigured
# The same members under a new version are no change.
> learner 2 of=1,2,3 accepted=2 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:1 epoch=-1
> DIFF 1:1
  nothing
> NEWLEADER 2:0 text=server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\nversion=100000001
  save current epoch 2
