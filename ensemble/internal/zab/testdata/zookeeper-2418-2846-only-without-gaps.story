# History that does not reach back to the learner's last transaction is not sent in part: it gets a snapshot.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:9 remembers=1:5
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> 3 connects accepted=1
  nothing
> saved accepted 2
  send to 2 LEADERINFO 2:0
  send to 3 LEADERINFO 2:0
> 2: ACKEPOCH 1:4 epoch=1
  save current epoch 2
  take snapshot for 2
> 3: ACKEPOCH 1:5 epoch=1
  send to 3 DIFF 1:9
  send to 3 PROPOSAL 1:6
  send to 3 COMMIT 1:6
  send to 3 PROPOSAL 1:7
  send to 3 COMMIT 1:7
  send to 3 PROPOSAL 1:8
  send to 3 COMMIT 1:8
  send to 3 PROPOSAL 1:9
  send to 3 COMMIT 1:9
  send to 3 NEWLEADER 2:0
# ZOOKEEPER-4352: a learner without anything, and a leader that remembers only the newest.
> 3 connects link=33 accepted=1
  close 3: replaced by a new connection of the same server
  send to 33 LEADERINFO 2:0
> 33: ACKEPOCH 0:0 epoch=0
  take snapshot for 33
