package change

import "testing"

// BenchmarkNext reads a run as long as the one of the automerge-paper trace:
// 259,779 changes of about 108 bytes. Its figure is for the whole run.
func BenchmarkNext(b *testing.B) {
	const n = 259_779
	one := typing().Chunk
	run := make([]byte, 0, n*len(one))
	for range n {
		run = append(run, one...)
	}
	b.SetBytes(int64(len(run)))
	b.ReportAllocs()
	for b.Loop() {
		count := 0
		for rest := run; len(rest) > 0; count++ {
			var err error
			if _, rest, err = Next(rest); err != nil {
				b.Fatal(err)
			}
		}
		if count != n {
			b.Fatal(count)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	c := typing()
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(&c); err != nil {
			b.Fatal(err)
		}
	}
}
