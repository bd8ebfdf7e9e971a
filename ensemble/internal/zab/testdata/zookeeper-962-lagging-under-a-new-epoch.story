# A follower that lags behind by two epochs gets all of it in order, each transaction with its commit; what is only proposed comes
# without.
> leader 1 of=1,2,3 accepted=3 current=3 log=1:3,2:1 last=3:2
  nothing
> 2 connects accepted=3
  save accepted epoch 4
> saved accepted 4
  send to 2 LEADERINFO 4:0
> 2: ACKEPOCH 3:2 epoch=3
  save current epoch 4
  send to 2 DIFF 3:2
  send to 2 NEWLEADER 4:0
> saved current 4
  nothing
> 2: ACK 4:0
  established 4
  send to 2 UPTODATE
  send to 2 PING 4:0 answers=0
> propose 4:1
  send to 2 PROPOSAL 4:1
> 3 connects accepted=1
  send to 3 LEADERINFO 4:0
> 3: ACKEPOCH 1:2 epoch=1
  send to 3 DIFF 3:2
  send to 3 PROPOSAL 1:3
  send to 3 COMMIT 1:3
  send to 3 PROPOSAL 2:1
  send to 3 COMMIT 2:1
  send to 3 PROPOSAL 3:1
  send to 3 COMMIT 3:1
  send to 3 PROPOSAL 3:2
  send to 3 COMMIT 3:2
  send to 3 PROPOSAL 4:1
  send to 3 NEWLEADER 4:0
> learner 3 of=1,2,3 accepted=1 current=1 last=1:2
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 4:0
  save accepted epoch 4
> saved accepted 4
  send ACKEPOCH 1:2 epoch=1
> DIFF 3:2
  nothing
> PROPOSAL 1:3
  append 1:3
> COMMIT 1:3
  committed 1:3
> PROPOSAL 2:1
  append 2:1
> COMMIT 2:1
  committed 2:1
> PROPOSAL 3:1
  append 3:1
> COMMIT 3:1
  committed 3:1
> PROPOSAL 3:2
  append 3:2
> COMMIT 3:2
  committed 3:2
> PROPOSAL 4:1
  append 4:1
> NEWLEADER 4:0
  nothing
> synced 4:1
  save current epoch 4
> saved current 4
  send ACK 4:0
> UPTODATE
  send ACK 4:0
  established 4
  send ACK 4:1
